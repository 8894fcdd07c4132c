-- Remembers how far a bulk was taken in. Two callers may send the same bulk at once, each with what it saw of it before:
-- so it never goes back, neither in its lines nor from being complete.
-- KEYS: the bulk. ARGV: caller, collection, lines, complete (0 or 1), how long to keep it (ms).
local known = redis.call('HMGET', KEYS[1], 'lines', 'complete')
if not known[1] or (known[2] ~= '1' and (ARGV[4] == '1' or tonumber(known[1]) < tonumber(ARGV[3]))) then
    redis.call('HSET', KEYS[1], 'caller', ARGV[1], 'collection', ARGV[2], 'lines', ARGV[3], 'complete', ARGV[4])
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
