-- Lease batches that may run now, oldest first. Answers {batch, score, batch, score, …}.
-- KEYS: queue
-- ARGV: now in ms, how many, lease in ms, prefix of arq's leases
local want, page, offset = tonumber(ARGV[2]), 100, 0
local taken = {}
while #taken < want * 2 do
  local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'WITHSCORES', 'LIMIT', offset, page)
  if #found == 0 then break end
  for i = 1, #found, 2 do
    if #taken < want * 2 and redis.call('SET', ARGV[4] .. found[i], '1', 'NX', 'PX', ARGV[3]) then
      taken[#taken + 1] = found[i]
      taken[#taken + 1] = found[i + 1]
    end
  end
  offset = offset + page
end
return taken
