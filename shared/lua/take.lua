-- Lease batches that may run now, and hand them out with their payloads: those whose lease ran out first, then by age.
-- Answers {ms, batch, deliveries, tries spent, deliveries excused, payload or "", …}. `ms` is, where nothing could be
-- leased, how long the first of the leases of others will last, else 0.
-- A batch that is handed out again is excused from this delivery until it is started: nobody dies of what waits.
-- What is leased stands at the front of the queue, by the end of its lease and below zero, where nobody looks before
-- that. The lease itself decides: a place there is only where to look.
-- KEYS: queue, idle workers
-- ARGV: now in ms, how many batches, how many bytes of payload, lease in ms, seconds to count deliveries,
--       prefixes of arq's leases, payloads and counts, prefix of a batch's progress, ms to keep that, whose lease,
--       what is taken off the end of a lease, 1 to be handed what comes next if there is nothing now, ms to keep that
local now, want, bytes, lease, below = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[12]
local answer, taken, page, places = {0}, 0, 100, {}

local function stands_until(batch, ms)
  places[#places + 1] = now + ms - below
  places[#places + 1] = batch
end

local function hand_out(found)
  for _, batch in ipairs(found) do
    if taken >= want or bytes <= 0 then return end
    if redis.call('SET', ARGV[6] .. batch, ARGV[11], 'NX', 'PX', lease) then
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
      stands_until(batch, lease)
    else
      stands_until(batch, math.max(1, redis.call('PTTL', ARGV[6] .. batch)))
    end
  end
end

local function hand_out_between(least, most)
  local offset = 0
  while taken < want and bytes > 0 do
    local found = redis.call('ZRANGEBYSCORE', KEYS[1], least, most, 'LIMIT', offset, page)
    if #found == 0 then return end
    hand_out(found)
    offset = offset + page
  end
end

-- An idle worker asks every second: an empty queue costs it one look.
local front = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if front[1] then
  hand_out_between('-inf', now - below)
  hand_out_between(0, now)
end
for first = 1, #places, 1000 do
  redis.call('ZADD', KEYS[1], unpack(places, first, math.min(first + 999, #places)))
end
if taken == 0 then
  if front[1] then front = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES') end
  if front[2] and tonumber(front[2]) < 0 then answer[1] = math.max(1, front[2] + below - now) end
  if ARGV[13] == '1' and not redis.call('ZSCORE', KEYS[2], ARGV[11]) then
    redis.call('ZADD', KEYS[2], lease, ARGV[11])
    redis.call('PEXPIRE', KEYS[2], ARGV[14])
  end
end
return answer
