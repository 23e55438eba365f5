#!/usr/bin/env -S nacre script run
-- Tells how many bytes the images take that no container uses.
--
--   nacre script run NAME.lua [--json]
--
-- `nacre script doc` tells what is in the table `nacre`, `nacre script check NAME.lua` finds slips, and
-- `nacre script test NAME_test.lua` runs the tests.

-- A file that is required gives its functions, so that tests can call them.
local M = {}

-- The images that no container uses, the largest first.
function M.unused()
  local found = {}
  for _, image in ipairs(nacre.image.list()) do
    if image.containers == 0 then table.insert(found, image) end
  end
  table.sort(found, function(a, b) return a.size > b.size end)
  return found
end

function M.main(words)
  local images, bytes = M.unused(), 0
  for _, image in ipairs(images) do bytes = bytes + image.size end
  if words[1] == "--json" then
    print(nacre.json.encode({ images = #images, bytes = bytes }))
  elseif words[1] then
    error("usage: nacre script run NAME.lua [--json]", 0)
  else
    for _, image in ipairs(images) do print(image.references[1] or image.id, image.size) end
    print(("%d images, %d bytes"):format(#images, bytes))
  end
  -- What a script returns is its exit code.
  return 0
end

-- Required by another file, it is given the module's name and is no command.
if ... == "NAME" then return M end
return M.main(arg)
