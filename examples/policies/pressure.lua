-- So many requests to a pod, until the machine is short of cores or memory: then more pods
-- would only share what the others have, and those that are there stay.
local target = 10
local limit = 0.6  -- part of the time in which somebody may be held up

function decide(metric, state)
  local each = target
  if state.pod_concurrency > 0 then each = math.min(target, state.pod_concurrency) end
  local pods = math.ceil(math.max(metric.stable, state.in_flight + state.waiting) / each)
  local pressure = math.max(metric.cpu_pressure or 0, metric.memory_pressure or 0)
  local running = state.ready + state.starting
  if pods > running and running > 0 and pressure > limit then
    return {desired = running,
            reason = string.format("%d wanted, but processes are held up %.0f %% of the time",
                                   pods, pressure * 100)}
  end
  return {desired = pods, reason = string.format("%d requests to a pod", each)}
end
