-- Holds the time that requests spend inside pods: when they grow slower than they were at
-- their best, the load is spread over more pods; to one pod for each request at most.
local tolerated = 1.5  -- times the best service time
local best = nil       -- seconds, slowly forgotten

function decide(metric, state)
  local load = math.max(metric.stable, state.in_flight + state.waiting)
  if load == 0 then
    return {desired = 0, reason = "nobody calls"}
  end
  local crowd = 1  -- pods without a limit take all
  if state.pod_concurrency > 0 then
    crowd = math.ceil((state.in_flight + state.waiting) / state.pod_concurrency)
  end
  if state.waiting > 0 and crowd > state.ready then  -- who waits is inside no pod yet
    return {desired = crowd, reason = string.format("%d wait for a slot", state.waiting)}
  end
  if metric.ended == 0 then
    return nil  -- nothing was learned: the last amount stays
  end
  local service = metric.service_seconds / metric.ended
  best = math.min(service, (best or service) * 1.01)
  local pods = math.max(state.ready, 1)
  local slow = service / (best * tolerated)
  if slow > 1 then
    pods = math.ceil(pods * math.min(slow, 2))
  elseif slow < 0.6 and metric.stable < pods - 1 then
    pods = pods - 1
  end
  pods = math.min(pods, math.ceil(load))
  return {desired = pods,
          reason = string.format("%.0f ms a request, %.0f at best", service * 1000, best * 1000)}
end
