-- Spend from a quota, by the generic cell rate algorithm: one number for each bucket, the time at which it will be
-- whole again. Times are Redis's own, in microseconds, so that the clocks of the callers do not matter.
-- KEYS: the bucket. ARGV: quota, window in microseconds, cost.
-- Returns: 1 if spent, what is left, microseconds until the quota is whole, microseconds until the cost could be paid.
local quota, window, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local whole = math.max(now, tonumber(redis.call('GET', KEYS[1]) or now))
local each = window / quota
local after = whole + each * cost
local late = after - window - now
-- Half a microsecond of grace, for the floating point: quota times each need not be the window.
if late > 0.5 then
  return {0, math.floor((window - (whole - now)) / each), math.ceil(whole - now), math.ceil(late)}
end
-- Lua would write it with 14 digits, and it has 16.
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return {1, math.max(0, math.floor((window - (after - now)) / each + 0.001)), math.ceil(after - now), 0}
