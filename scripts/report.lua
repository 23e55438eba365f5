#!/usr/bin/env -S nacre script run
-- Who uses how much: what images share and what is theirs alone, what layers hold that nobody sees, and containers.
--
--   nacre script run report.lua                                        a table
--   nacre script run report.lua --json                                 the same and more as JSON
--   nacre script run --allow fs=. report.lua --html report.html        a page with charts, in one file

local options = require("lib.options")
local tell = require("lib.tell")

local usage = [[
usage: nacre script run report.lua [OPTIONS]
  --json         as one JSON object
  --html FILE    as a page in one file; its directory must be allowed (--allow fs=DIR)
  --quick        without waste, for which every layer is read]]

local wanted = options.read(arg, usage, { json = "flag", html = "text", quick = "flag" })
if not wanted then return 0 end

-- How many paths with waste are told.
local MOST_PATHS = 20

-- What a layer hides of those below it: bytes in all, and the paths with the most.
local function waste_of(layer)
  local bytes, paths = 0, {}
  for change in nacre.layer.changes(layer) do
    if change.hidden > 0 then
      bytes = bytes + change.hidden
      table.insert(paths, {
        path = change.path,
        bytes = change.hidden,
        how = change.kind == "D" and "deleted" or "overwritten",
        layer = layer,
      })
    end
  end
  return bytes, paths
end

-- Rows for images and for paths with waste, and what all layers hide; each layer is looked at once.
local function look_at_images()
  local size, users, waste = {}, {}, {}
  local images, chains = nacre.image.list(), {}
  for _, layer in ipairs(nacre.layer.list()) do size[layer.chain_id] = layer.size end
  for _, image in ipairs(images) do
    chains[image.id] = nacre.image.chain(image.id)
    for _, layer in ipairs(chains[image.id]) do users[layer] = (users[layer] or 0) + 1 end
  end
  local paths, hidden = {}, 0
  for layer in pairs(wanted.quick and {} or users) do
    local bytes, found = waste_of(layer)
    waste[layer], hidden = bytes, hidden + bytes
    table.move(found, 1, #found, #paths + 1, paths)
  end
  local rows = {}
  for _, image in ipairs(images) do
    local row = { id = image.id, name = tell.image(image), shared = 0, unique = 0, containers = image.containers }
    row.layers, row.created = #chains[image.id], image.created
    if not wanted.quick then row.waste = 0 end
    for _, layer in ipairs(chains[image.id]) do
      local kind = users[layer] > 1 and "shared" or "unique"
      row[kind] = row[kind] + (size[layer] or 0)
      if row.waste then row.waste = row.waste + waste[layer] end
    end
    table.insert(rows, row)
  end
  return rows, paths, not wanted.quick and hidden or nil
end

local function look_at_containers()
  local rows = {}
  for _, c in ipairs(nacre.container.list({ sizes = true })) do
    local own = c.size and c.size.writable or 0
    local shared = c.size and c.size.virtual_size - own or 0
    table.insert(rows, { id = c.id, name = c.name, image = c.image, state = c.state, unique = own, shared = shared })
  end
  return rows
end

local report = { root = nacre.system.info().root, time = nacre.time.format(), usage = nacre.system.df() }
report.images, report.waste, report.hidden = look_at_images()
report.containers = look_at_containers()
for _, rows in ipairs({ report.images, report.containers }) do
  table.sort(rows, function(a, b) return a.unique > b.unique or (a.unique == b.unique and a.name < b.name) end)
end
table.sort(report.waste, function(a, b) return a.bytes > b.bytes or (a.bytes == b.bytes and a.path < b.path) end)
report.waste = table.move(report.waste, 1, math.min(#report.waste, MOST_PATHS), 1, {})

if wanted.html then
  nacre.fs.write(wanted.html, require("lib.report_page")(report))
  print("wrote " .. wanted.html)
end
if wanted.json then
  for _, name in ipairs({ "images", "containers", "waste" }) do report[name] = tell.list(report[name]) end
  print(nacre.json.encode(report))
end
if wanted.html or wanted.json then return 0 end

local rows = {}
for _, image in ipairs(report.images) do
  local waste = image.waste and tell.bytes(image.waste) or "-"
  local containers = tostring(image.containers)
  table.insert(rows, { image.name, tell.bytes(image.shared), tell.bytes(image.unique), waste, containers })
end
tell.rows({ "IMAGE", "SHARED", "UNIQUE", "WASTE", "CONTAINERS" }, rows)

print()
rows = {}
for _, c in ipairs(report.containers) do
  table.insert(rows, { c.name, c.image, c.state, tell.bytes(c.shared), tell.bytes(c.unique) })
end
tell.rows({ "CONTAINER", "IMAGE", "STATE", "SHARED", "UNIQUE" }, rows)

if #report.waste > 0 then
  print()
  rows = {}
  for _, at in ipairs(report.waste) do
    table.insert(rows, { at.path, tell.bytes(at.bytes), at.how, tell.short(at.layer) })
  end
  tell.rows({ "WASTE", "BYTES", "HOW", "BY LAYER" }, rows)
end
