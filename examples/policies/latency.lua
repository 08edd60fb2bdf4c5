-- Holds the time that requests spend inside pods: when pods grow slower than they were
-- at their best, the load is spread over more of them.
local tolerated = 1.5  -- times the best service time
local best = nil       -- seconds, slowly forgotten

function decide(metric, state)
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
  return {desired = pods,
          reason = string.format("%.0f ms a request, %.0f at best", service * 1000, best * 1000)}
end
