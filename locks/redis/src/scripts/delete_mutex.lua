-- Deletes a free mutex at this version (R11): 1; 0 while it is held; -1 if it is absent or of another version.
-- KEYS: row. ARGV: version.
local version, ends = unpack(redis.call('HMGET', row, 'v', 'e'))
if version ~= ARGV[1] then
  return -1
end
if tonumber(ends or 0) > clock() then
  return 0
end
bury()
return 1
