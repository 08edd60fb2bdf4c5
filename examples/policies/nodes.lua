-- For nodes: a share of their slots stays free, more in working hours, when there is
-- always one node. Try it:
--
--   ebb simulate calls.csv --nodes 20 --min-nodes 0 --node-policy nodes.lua
--
-- What is said of pods to a policy for pods is said of nodes here: `ready` and `starting`
-- are nodes, `pod_concurrency` is the slots of one, `start_time` the seconds of its boot,
-- `in_flight` the slots in use, `waiting` the instances that found no slot.
local opens, closes = 8, 18  -- o'clock, from Monday to Friday
local zone = 1               -- hours that its clock is ahead of UTC
local free_at_work = 0.3     -- of the slots
local free = 0.1

function decide(metric, state)
  local day = state.wall / 86400 + zone / 24  -- since 1970, which began on a Thursday
  local hour = day % 1 * 24
  local at_work = (day + 3) % 7 < 5 and hour >= opens and hour < closes
  local spare = at_work and free_at_work or free
  local used = math.max(metric.stable, state.in_flight + state.waiting)
  local slots = math.max(state.pod_concurrency, 1)
  local nodes = math.ceil(used / (slots * (1 - spare)))
  return {desired = math.max(nodes, at_work and 1 or 0),
          reason = string.format("%.1f slots in use, %.0f %% of %d a node stay free",
                                 used, spare * 100, slots)}
end
