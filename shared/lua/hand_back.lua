-- Let anybody run batches again, where the lease is still ours or nobody's.
-- KEYS: queue
-- ARGV: when in ms, prefix of arq's leases, whose lease, wake channel or "", then the batches
for i = 5, #ARGV do
  local lease = ARGV[2] .. ARGV[i]
  local held = redis.call('GET', lease)
  if not held or held == ARGV[3] then
    redis.call('ZADD', KEYS[1], 'XX', ARGV[1], ARGV[i])
    redis.call('DEL', lease)
  end
end
if ARGV[4] ~= '' then redis.call('PUBLISH', ARGV[4], '') end
