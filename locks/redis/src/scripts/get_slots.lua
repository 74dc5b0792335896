-- Reads the slots of a semaphore that were ever used: {1, now, size, lease in milliseconds, row, row, ...}.
-- KEYS: row, slots.
local now = clock()
local version, size, lease_ms = unpack(redis.call('HMGET', row, 'v', 'm', 'l'))
if not version then
  return {-1}
end
local reply = {1, now, tonumber(size), tonumber(lease_ms)}
local used = redis.call('ZRANGE', slots, 0, -1, 'WITHSCORES')
for i = 1, #used, 2 do
  local slot, score = used[i], tonumber(used[i + 1])
  local record, data = unpack(redis.call('HMGET', row, 's' .. slot, 'd' .. slot))
  if record then
    local fence, its_lease_ms, flags, under, owner = unpack_record(record)
    local ends = score > FREE and score or 0
    reply[#reply + 1] = {1, now, tonumber(slot), under, fence, its_lease_ms, ends, flags, owner, data or nil}
  end
end
return reply
