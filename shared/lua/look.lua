-- Jobs without a receipt: {ticket or "", 1 while a worker holds its batch, tries spent} for each.
-- KEYS: ticket of each job
-- ARGV: prefix of arq's leases, prefix of a batch's progress
local answers = {}
for i, key in ipairs(KEYS) do
  local ticket = redis.call('GET', key)
  local batch = ticket and string.match(ticket, '"batch":"([%x-]+)"')
  if batch then
    local tries = redis.call('HGET', ARGV[2] .. batch, 'tries')
    answers[i] = {ticket, redis.call('EXISTS', ARGV[1] .. batch), tries or 0}
  else
    answers[i] = {'', 0, 0}
  end
end
return answers
