#!/usr/bin/env -S nacre script run
-- Moves an image onto a newer base: the application's layers are put on the new base's layers, byte for byte. Nothing is
-- built, and nothing of the application is run.
--
--   nacre script run rebase.lua app:1 debian:12.1 debian:12.2 app:2
--
-- The image must stand on the old base: its first layers are the old base's layers. What the application's layers changed
-- or deleted in files of the old base is told, where the new base has another file there: the application's wins, as it
-- does in every image, and may be out of date.

local options = require("lib.options")
local tell = require("lib.tell")

local usage = [[
usage: nacre script run rebase.lua IMAGE OLD-BASE NEW-BASE NAME
  NAME     what the new image is called
       --check     say what would be moved, and what both change, without making an image]]

local wanted = options.read(arg, usage, { check = "flag" })
if not wanted then return 0 end
local name, old_name, new_name, target = table.unpack(wanted, 1, 4)
if not new_name or (not target and not wanted.check) then options.fail("an argument is missing", usage) end

local function configuration(image) return nacre.json.decode(nacre.image.configuration(image)) end

local image, old, new = configuration(name), configuration(old_name), configuration(new_name)
local layers, below, onto = image.rootfs.diff_ids, old.rootfs.diff_ids, new.rootfs.diff_ids
for i, layer in ipairs(below) do
  if layers[i] ~= layer then
    error({
      code = "conflict",
      exit_code = 4,
      message = ("%s does not stand on %s: layer %d is %s"):format(name, old_name, i, tell.short(layers[i] or "not there")),
      hint = "`nacre layer tree` shows what stands on what",
    }, 0)
  end
end

-- The history's entries of the first layers, and those that follow. An empty list comes from JSON.
local function split(history, count)
  local first, rest, seen = {}, {}, 0
  for _, step in ipairs(type(history) == "table" and history or {}) do
    if not step.empty_layer and seen < count then
      seen = seen + 1
      table.insert(first, step)
    else
      table.insert(seen < count and first or rest, step)
    end
  end
  return first, rest
end

-- Paths that the application changed and that the new base has other than the old one.
local function clashes()
  local found, chain = {}, nacre.image.chain(name)
  for i = #below + 1, #chain do
    for change in nacre.layer.changes(chain[i]) do
      if change.kind ~= "A" then
        local was, is = nacre.union.stat(old_name, change.path), nacre.union.stat(new_name, change.path)
        local differs = was and is and was.kind == "file" and (was.size ~= is.size or was.modified ~= is.modified)
        if differs or (was and not is) then table.insert(found, change.path) end
      end
    end
  end
  return found
end

local moved = tell.count(#layers - #below, "layer")
for _, path in ipairs(clashes()) do print("both change " .. path) end
if wanted.check then
  print(("%s of %s would be put on %s"):format(moved, name, new_name))
  return 0
end

local _, steps = split(image.history, #below)
local history = split(new.history, #onto)
image.history = tell.list(table.move(steps, 1, #steps, #history + 1, history))
image.rootfs.diff_ids = table.move(layers, #below + 1, #layers, #onto + 1, table.move(onto, 1, #onto, 1, {}))
image.created = nacre.time.format()
local id = nacre.image.compose(nacre.json.encode(image), { name = target })
print(("%s: %s of %s on %s (%s)"):format(target, moved, name, new_name, tell.short(id)))
