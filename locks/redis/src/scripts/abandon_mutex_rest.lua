-- Goes on where abandon_mutex.lua ends: somebody may be waiting, perhaps behind this ticket.
leave(ARGV[1])
if tonumber(ends or 0) <= now then
  ring(1)
end
return 1
