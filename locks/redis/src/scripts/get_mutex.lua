-- Reads a mutex. KEYS: row. A mutex without an owner was never granted: the fence is then an earlier mutex's.
local version, fence, ends, holder, data, deletes, lease_ms =
  unpack(redis.call('HMGET', row, 'v', 'f', 'e', 'o', 'd', 'x', 'l'))
if not version then
  return {-1}
end
local token = holder and tonumber(fence) or 0
local flags = tonumber(deletes or 0)
return {1, clock(), 0, version, token, tonumber(lease_ms), tonumber(ends or 0), flags, holder or '', data or nil}
