-- Lease batches that may run now, oldest first, and hand them out with their payloads.
-- Answers {ms, batch, deliveries, tries spent, deliveries excused, payload or "", …}. `ms` is, where nothing could be
-- leased, how long the first of the leases of others will last, else 0.
-- A batch that is handed out again is excused from this delivery until it is started: nobody dies of what waits.
-- KEYS: queue
-- ARGV: now in ms, how many batches, how many bytes of payload, lease in ms, seconds to count deliveries,
--       prefixes of arq's leases, payloads and counts, prefix of a batch's progress, ms to keep that, whose lease
local want, bytes, page, offset = tonumber(ARGV[2]), tonumber(ARGV[3]), 100, 0
local answer, taken, first = {0}, 0, 0
while taken < want and bytes > 0 do
  local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', offset, page)
  if #found == 0 then break end
  for _, batch in ipairs(found) do
    if taken >= want or bytes <= 0 then break end
    if redis.call('SET', ARGV[6] .. batch, ARGV[11], 'NX', 'PX', ARGV[4]) then
      local count, progress = ARGV[8] .. batch, ARGV[9] .. batch
      local payload = redis.call('GET', ARGV[7] .. batch) or ''
      local number, spent, excused = redis.call('INCR', count), 0, 0
      redis.call('EXPIRE', count, ARGV[5])
      if number > 1 then
        local known = redis.call('HMGET', progress, 'tries', 'excused')
        spent, excused = tonumber(known[1] or 0), tonumber(known[2] or 0)
        redis.call('HINCRBY', progress, 'excused', 1)
        redis.call('PEXPIRE', progress, ARGV[10])
      end
      for _, part in ipairs({batch, number, spent, excused, payload}) do answer[#answer + 1] = part end
      taken = taken + 1
      bytes = bytes - #payload
    elseif taken == 0 and offset == 0 then
      local left = redis.call('PTTL', ARGV[6] .. batch)
      if left > 0 and (first == 0 or left < first) then first = left end
    end
  end
  offset = offset + page
end
if taken == 0 then answer[1] = first end
return answer
