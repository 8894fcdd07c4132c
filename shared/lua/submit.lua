-- Take in a batch of jobs: all or nothing, or as many as there is room for.
-- Answers {1 if nothing was taken in for want of room, else 0; ticket, "" or "full" for each job}.
-- KEYS: queue, payload, waiting, ticket of each job
-- ARGV: limit, ms to keep the payload, ms to keep a ticket, now in ms, batch id, payload's head, its tail,
--       wake channel, 1 for all or nothing, then for each job: id, ticket, job as JSON
local queue, payload, waiting = KEYS[1], KEYS[2], KEYS[3]
local limit, keep, keep_ticket, now = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local answers, fresh = {0}, {}

-- The answer of an earlier sending got lost: this batch is in, so far as there was room.
if redis.call('EXISTS', payload) == 1 then
  for i = 4, #KEYS do
    local held = redis.call('GET', KEYS[i])
    answers[#answers + 1] = not held and 'full' or string.find(held, ARGV[5], 1, true) and '' or held
  end
  return answers
end

for i = 4, #KEYS do
  local held = redis.call('GET', KEYS[i])
  answers[#answers + 1] = held or ''
  if not held then fresh[#fresh + 1] = i end
end
if #fresh == 0 then return answers end
local room = limit - redis.call('ZCARD', waiting)
if room < #fresh and ARGV[9] == '1' then return {1} end

local jobs = {}
for _, i in ipairs(fresh) do
  local at = 10 + (i - 4) * 3
  -- The same id may stand twice in one batch: the first of them counts.
  if room < 1 and redis.call('EXISTS', KEYS[i]) == 0 then
    answers[i - 2] = 'full'
  elseif redis.call('SET', KEYS[i], ARGV[at + 1], 'NX', 'PX', keep_ticket) then
    redis.call('ZADD', waiting, now, ARGV[at])
    jobs[#jobs + 1] = ARGV[at + 2]
    room = room - 1
  else
    answers[i - 2] = redis.call('GET', KEYS[i])
  end
end
if #jobs == 0 then return answers end
redis.call('SET', payload, ARGV[6] .. table.concat(jobs, ',') .. ARGV[7], 'PX', keep)
redis.call('ZADD', queue, now, ARGV[5])
redis.call('PEXPIRE', queue, keep_ticket)
redis.call('PEXPIRE', waiting, keep_ticket)
redis.call('PUBLISH', ARGV[8], '')
return answers
