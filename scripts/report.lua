#!/usr/bin/env -S nacre script run
-- Who uses how much: images with the bytes that they share with others and those that are theirs alone, and containers.
-- With --json as one JSON object.

local json = false
for _, word in ipairs(arg) do
  if word == "--json" then
    json = true
  else
    error("usage: nacre script run report.lua [--json]", 0)
  end
end

-- How many images stand on each layer.
local size, users = {}, {}
for _, layer in ipairs(nacre.layer.list()) do size[layer.chain_id] = layer.size end
local images, chains = nacre.image.list(), {}
for _, image in ipairs(images) do
  chains[image.id] = nacre.image.chain(image.id)
  for _, layer in ipairs(chains[image.id]) do users[layer] = (users[layer] or 0) + 1 end
end

local report = { images = {}, containers = {} }
for _, image in ipairs(images) do
  local row = { id = image.id, name = image.references[1] or "<none>", shared = 0, unique = 0 }
  row.containers = image.containers
  for _, layer in ipairs(chains[image.id]) do
    local kind = users[layer] > 1 and "shared" or "unique"
    row[kind] = row[kind] + (size[layer] or 0)
  end
  table.insert(report.images, row)
end
for _, c in ipairs(nacre.container.list({ sizes = true })) do
  local row = { id = c.id, name = c.name, image = c.image, state = c.state }
  row.unique = c.size and c.size.writable or 0
  row.shared = c.size and c.size.virtual_size - c.size.writable or 0
  table.insert(report.containers, row)
end
for _, rows in pairs(report) do
  table.sort(rows, function(a, b) return a.unique > b.unique or (a.unique == b.unique and a.name < b.name) end)
end

local function human(bytes)
  local units, i = { "B", "kB", "MB", "GB", "TB" }, 1
  while bytes >= 1000 and units[i + 1] do
    bytes, i = bytes / 1000, i + 1
  end
  return (i == 1 and "%d%s" or "%.3g%s"):format(bytes, units[i])
end

local function print_table(head, rows)
  local widths = {}
  table.insert(rows, 1, head)
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, utf8.len(cell) or #cell) end
  end
  for _, row in ipairs(rows) do
    local line = {}
    for i, cell in ipairs(row) do line[i] = cell .. (" "):rep(widths[i] - (utf8.len(cell) or #cell)) end
    print((table.concat(line, "   "):gsub("%s+$", "")))
  end
end

if json then
  -- A list without elements is a list all the same.
  for name, rows in pairs(report) do
    if #rows == 0 then report[name] = nacre.json.decode("[]") end
  end
  print(nacre.json.encode(report))
  return 0
end

local rows = {}
for _, image in ipairs(report.images) do
  table.insert(rows, { image.name, human(image.shared), human(image.unique), tostring(image.containers) })
end
print_table({ "IMAGE", "SHARED", "UNIQUE", "CONTAINERS" }, rows)
print()
rows = {}
for _, c in ipairs(report.containers) do
  table.insert(rows, { c.name, c.image, c.state, human(c.shared), human(c.unique) })
end
print_table({ "CONTAINER", "IMAGE", "STATE", "SHARED", "UNIQUE" }, rows)
