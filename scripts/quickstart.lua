#!/usr/bin/env -S nacre script run
-- A guided tour of nacre that really runs: on a throw-away root, and with an image that it makes itself or that is named.
--
--   mkdir tour && nacre --root "$PWD/tour/root" script run --allow fs=tour quickstart.lua tour
--   …                                                                      quickstart.lua tour tour/app.tar
--
-- Each step is shown as the Lua that does it. At the end everything is removed again.

local options = require("lib.options")
local tell = require("lib.tell")

local usage = [[
usage: nacre --root ROOT script run --allow fs=DIR quickstart.lua DIR [ARCHIVE]
  DIR        where files of the tour are made for a while
  ARCHIVE    an image archive to take the tour with; a small image is made where none is named]]

local wanted = options.read(arg, usage, {})
if not wanted then return 0 end
local dir = nacre.fs.temp_dir(wanted[1] or options.fail("no directory is named", usage))
if #nacre.image.list() > 0 or #nacre.container.list() > 0 then
  error({
    code = "conflict",
    exit_code = 4,
    message = "this root holds images or containers, and the tour makes and removes its own",
    hint = "name an empty one with --root",
  }, 0)
end

local function heading(text, note)
  print(("\n%s\n%s"):format(text, note))
end

local function told(...)
  print("    " .. table.concat({ ... }, "  "))
end

-- What the lines that are shown know: what was found so far is added to it.
local tour = setmetatable({ dir = dir, archive = wanted[2], print = told }, { __index = _G })

-- Shows a line of Lua, and runs it: its value, where it is an expression.
local function show(code)
  print("  > " .. code)
  local chunk = load("return " .. code, "=tour", "t", tour) or assert(load(code, "=tour", "t", tour))
  return chunk()
end

local function make_files()
  nacre.fs.mkdir(dir .. "/tree/etc")
  nacre.fs.write(dir .. "/tree/etc/motd", "hello\n")
  nacre.fs.write(dir .. "/tree/large", ("nacre "):rep(500000))
  nacre.fs.write(dir .. "/tree/small", "not needed\n")
end

local image
if wanted[2] then
  heading("Load an image", "Every digest is verified; layers are unpacked side by side.")
  image = nacre.image.get(show("nacre.image.load(archive)[1].id"))
else
  heading("Make an image", "Of a directory, as a tar: one layer.")
  make_files()
  show('nacre.tar.write(dir .. "/tree.tar", dir .. "/tree")')
  local id = show([[nacre.image.import(dir .. "/tree.tar", { name = "tour/hello:1", changes = { 'CMD ["/hello"]' } })]])
  image = nacre.image.get(id)
end
tour.name = tell.image(image)
told(tour.name, tell.count(#nacre.image.chain(image.id), "layer"), tell.bytes(image.size))

heading("Create a container", "Its tree is the image's layers, and one thin layer of its own on top.")
tour.c = show('nacre.container.create({ image = name, name = "tour" })')
told(tostring(tour.c), tour.c.state, "in " .. tour.c.driver)

-- The largest file of the image, to be changed.
local largest
for node in nacre.union.walk(image.id) do
  if node.kind == "file" and (not largest or node.size > largest.size) then largest = node end
end
tour.largest = largest.path

heading("Change it", "What is written goes into its own layer, here even without a mount.")
show('nacre.union.write("tour", "/note", "written on a tour\\n")')
show('nacre.union.remove("tour", largest)')
show("for path, kind in c:diff() do print(kind, path) end")

heading("Where does a file come from?", "Each layer that is looked at, the newest first, and which one answers.")
show("for _, probe in ipairs(c:why(largest).probes) do print(probe.found, probe.detail) end")
show('print(c:why("/note").answer)')

heading("Mount it", "The kernel, or nacre's own union, shows the layers as one tree.")
local path = show("c:mount()")
told(path)
show("c:umount()")

heading("Make an image of the changes", "One new layer; all others are shared.")
show('c:commit({ name = "tour/hello:2", message = "a note" })')
show('for _, layer in ipairs(nacre.layer.list()) do print(layer.chain_id:sub(8, 19), layer.size .. " bytes") end')

local chain = nacre.image.chain("tour/hello:2")
tour.top = chain[#chain]
heading("What does nobody see?", "A deleted file stays in the layers below the one that deletes it.")
show('for change in nacre.layer.changes(top) do print(change.kind, change.path, change.hidden .. " bytes hidden") end')
show('nacre.image.flatten("tour/hello:2", { name = "tour/hello:flat" })')
told("flat: " .. tell.bytes(nacre.image.get("tour/hello:flat").size))

heading("Who decided all this?", "A WebAssembly component that can open no file: it plans, and nacre checks and acts.")
show("print(nacre.driver.selection().choice, nacre.driver.inspect(c.driver).Version)")

heading("Remove it all", "Layers go when nothing stands on them.")
show("c:remove()")
show("print(nacre.image.prune({ all = true }).bytes)")
show("print(#nacre.system.check() == 0 and 'nothing is wrong')")
print("\n`nacre script doc` tells of everything in the table; scripts/ has more to read.")
