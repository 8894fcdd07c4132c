-- Lease batches that may run now, oldest first, and hand them out with their payloads.
-- Answers {batch, deliveries, payload or "", …}.
-- KEYS: queue
-- ARGV: now in ms, how many batches, how many bytes of payload, lease in ms, seconds to count deliveries,
--       prefixes of arq's leases, payloads and counts
local want, bytes, page, offset = tonumber(ARGV[2]), tonumber(ARGV[3]), 100, 0
local taken = {}
while #taken < want * 3 and bytes > 0 do
  local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', offset, page)
  if #found == 0 then break end
  for _, batch in ipairs(found) do
    if #taken >= want * 3 or bytes <= 0 then break end
    if redis.call('SET', ARGV[6] .. batch, '1', 'NX', 'PX', ARGV[4]) then
      local count = ARGV[8] .. batch
      local payload = redis.call('GET', ARGV[7] .. batch) or ''
      taken[#taken + 1] = batch
      taken[#taken + 1] = redis.call('INCR', count)
      taken[#taken + 1] = payload
      redis.call('EXPIRE', count, ARGV[5])
      bytes = bytes - #payload
    end
  end
  offset = offset + page
end
return taken
