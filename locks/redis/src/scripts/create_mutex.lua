-- Creates a free mutex. KEYS: row. ARGV: version, lease in milliseconds, flags (d delete on release, p data is given), data.
if redis.call('HEXISTS', row, 'v') == 1 then
  return 0
end
redis.call('HSET', row, 'v', ARGV[1], 'l', ARGV[2], 'x', string.find(ARGV[3], 'd', 1, true) and '1' or '0')
if string.find(ARGV[3], 'p', 1, true) then
  redis.call('HSET', row, 'd', ARGV[4])
end
redis.call('PERSIST', row) -- it may have been a tombstone
return 1
