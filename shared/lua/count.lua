-- Count something of batches, where they are still in the queue.
-- KEYS: queue
-- ARGV: prefix of a batch's progress, ms to keep it, more tries, more deliveries excused, then the batches
for i = 5, #ARGV do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    local progress = ARGV[1] .. ARGV[i]
    if ARGV[3] ~= '0' then redis.call('HINCRBY', progress, 'tries', ARGV[3]) end
    redis.call('HINCRBY', progress, 'excused', ARGV[4])
    redis.call('PEXPIRE', progress, ARGV[2])
  end
end
