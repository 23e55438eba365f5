#!/usr/bin/env -S nacre script run
-- Makes one layer out of an image. The tree and the configuration stay what they were; what layers hid is gone.
--
--   nacre script run flatten.lua debian:latest                 debian:latest-flat
--   nacre script run flatten.lua debian:latest debian:small
--
-- Both trees are walked and compared before the new image counts. A flat image shares no layer with others.

local options = require("lib.options")
local tell = require("lib.tell")

local usage = [[
usage: nacre script run flatten.lua IMAGE [NAME]
  NAME     what the new image is called; IMAGE-flat where it is not said]]

local wanted = options.read(arg, usage, {})
if not wanted then return 0 end
local name = wanted[1] or options.fail("no image is named", usage)
local image = nacre.image.get(name) or error({ exit_code = 3, message = "no such image: " .. name }, 0)
local new_name = wanted[2] or tell.image(image) .. "-flat"

-- What can be seen of a node, but for the layer that it is from.
local function seen(node)
  local size = node.kind == "directory" and 0 or node.size
  return ("%s %o %d:%d %d %s"):format(node.kind, node.mode, node.uid, node.gid, size, node.target or "")
end

-- The first path at which two images differ; nil where they show the same.
local function difference(one, other)
  local left, right = nacre.union.walk(one), nacre.union.walk(other)
  while true do
    local a, b = left(), right()
    if not a and not b then return nil end
    if not a or not b then return (a or b).path end
    if a.path ~= b.path or seen(a) ~= seen(b) then return math.min(#a.path, #b.path) == #a.path and a.path or b.path end
  end
end

local id = nacre.image.flatten(image.id)
local path = difference(image.id, id)
if path then
  nacre.image.remove(id)
  error(("the flat image differs at %s, and was not kept"):format(path), 0)
end
nacre.image.tag(id, new_name)
local layers, size = tell.count(#nacre.image.chain(image.id), "layer"), nacre.image.get(id).size
print(("%s: %s, %s"):format(tell.image(image), layers, tell.bytes(image.size)))
print(("%s: 1 layer, %s, %s less"):format(new_name, tell.bytes(size), tell.bytes(math.max(image.size - size, 0))))
