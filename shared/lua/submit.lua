-- Take in a batch of jobs: all or nothing, or as many as there is room for.
-- Answers {1 if nothing was taken in for want of room, else 0; ticket, "" or "full" for each job}.
-- KEYS: queue, payload, waiting, ticket of each job
-- ARGV: limit, ms to keep the payload, ms to keep a ticket, now in ms, batch id, payload's head, its tail,
--       wake channel, 1 for all or nothing, then for each job: id, ticket, job as JSON
local queue, payload, waiting = KEYS[1], KEYS[2], KEYS[3]
local limit, keep, keep_ticket, now = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local before, each, page = 3, 9, 1000
local answers, room = {0}, nil

-- A call costs more than what most of them do here: many keys go into one, as many as fit on Lua's stack.
local held = {}
for first = before + 1, #KEYS, page do
  local tickets = redis.call('MGET', unpack(KEYS, first, math.min(first + page - 1, #KEYS)))
  for _, ticket in ipairs(tickets) do held[#held + 1] = ticket end
end

-- The answer of an earlier sending got lost: this batch is in, so far as there was room.
if redis.call('EXISTS', payload) == 1 then
  for i, ticket in ipairs(held) do
    answers[i + 1] = not ticket and 'full' or string.find(ticket, ARGV[5], 1, true) and '' or ticket
  end
  return answers
end

local fresh = 0
for i, ticket in ipairs(held) do
  answers[i + 1] = ticket or ''
  if not ticket then fresh = fresh + 1 end
end
if fresh == 0 then return answers end
room = limit - redis.call('ZCARD', waiting)
if room < fresh and ARGV[9] == '1' then return {1} end

local jobs, scored = {}, {}
for i, ticket in ipairs(held) do
  if not ticket then
    local key, at = KEYS[before + i], each + (i - 1) * 3
    -- The same id may stand twice in one batch: the first of them counts.
    if room < 1 and redis.call('EXISTS', key) == 0 then
      answers[i + 1] = 'full'
    elseif redis.call('SET', key, ARGV[at + 2], 'NX', 'PX', keep_ticket) then
      scored[#scored + 1] = now
      scored[#scored + 1] = ARGV[at + 1]
      jobs[#jobs + 1] = ARGV[at + 3]
      room = room - 1
    else
      answers[i + 1] = redis.call('GET', key)
    end
  end
end
if #jobs == 0 then return answers end
for first = 1, #scored, page do
  redis.call('ZADD', waiting, unpack(scored, first, math.min(first + page - 1, #scored)))
end
redis.call('SET', payload, ARGV[6] .. table.concat(jobs, ',') .. ARGV[7], 'PX', keep)
redis.call('ZADD', queue, now, ARGV[5])
redis.call('PEXPIRE', queue, keep_ticket)
redis.call('PEXPIRE', waiting, keep_ticket)
redis.call('PUBLISH', ARGV[8], '')
return answers
