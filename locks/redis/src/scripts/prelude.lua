-- Begins every script.

-- The server's clock, the only one that counts, in microseconds since 1970. Lua's numbers hold it exactly until 2255.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- A number as it is stored: all digits, no exponent. (`..` and tostring() would keep 14 digits.)
local function int(number)
  return string.format('%.0f', number)
end
