
end

-- KEYS: those of all operations, one after the other. ARGV: how many keys and how many arguments each has; then all arguments.
-- Answers with a list of their replies; in the place of one that failed is the message: the others go on.
local keys_each, args_each = tonumber(ARGV[1]), tonumber(ARGV[2])
local replies, first_arg = {}, 3
for first_key = 1, #KEYS, keys_each do
  local done, reply = pcall(
    one,
    {unpack(KEYS, first_key, first_key + keys_each - 1)},
    {unpack(ARGV, first_arg, first_arg + args_each - 1)}
  )
  if not done then
    reply = type(reply) == 'table' and reply.err or tostring(reply)
  end
  replies[#replies + 1] = reply
  first_arg = first_arg + args_each
end
return replies
