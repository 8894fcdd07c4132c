-- A job without a receipt: {ticket or "", 1 while a worker holds its batch, tries spent}.
-- KEYS: ticket
-- ARGV: prefix of arq's leases, prefix of a batch's progress
local ticket = redis.call('GET', KEYS[1])
if not ticket then return {'', 0, 0} end
local batch = string.match(ticket, '"batch":"([%x-]+)"')
if not batch then return {'', 0, 0} end
local tries = redis.call('HGET', ARGV[2] .. batch, 'tries')
return {ticket, redis.call('EXISTS', ARGV[1] .. batch), tries or 0}
