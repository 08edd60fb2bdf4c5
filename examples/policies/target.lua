-- So many requests to a pod: the average load, or what is there right now if it is more.
local target = 10

function decide(metric, state)
  local load = math.max(metric.stable, state.in_flight + state.waiting)
  local each = target
  if state.pod_concurrency > 0 then each = math.min(target, state.pod_concurrency) end
  local pods = math.ceil(load / each)
  return {desired = pods, reason = string.format("%.1f requests / %d", load, each)}
end
