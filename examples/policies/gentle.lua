-- Up at once, down one pod at a time: a pod goes only after a minute in which fewer
-- would have done. What is `local` up here is kept from call to call.
local target = 5
local calm_since = nil
local pods = 0

function decide(metric, state)
  local each = target
  if state.pod_concurrency > 0 then each = math.min(target, state.pod_concurrency) end
  local wanted = math.ceil(math.max(metric.panic, state.in_flight + state.waiting) / each)
  if wanted >= pods then
    calm_since = nil
    pods = wanted
    return {desired = pods, reason = "load needs " .. wanted}
  end
  calm_since = calm_since or state.now
  if state.now - calm_since >= 60 then
    calm_since = state.now
    pods = pods - 1
  end
  return {desired = pods, reason = "load needs " .. wanted .. ", one less each minute"}
end
