#!/usr/bin/env -S nacre script run
-- Runs one workload on each of several drivers, and tells what each step took: load an image, create containers, mount
-- them, write into them, compare, commit, remove. A table with bars, JSON, or a page with charts.
--
--   nacre --root "$(mktemp -d)" script run --allow fs=. compare-drivers.lua app.tar
--   … compare-drivers.lua app.tar --driver overlay2 --driver overlay2+union --driver vfs --html drivers.html
--
-- `NAME+union` has nacre's own union serve what the driver NAME lays out, in place of the kernel. The root must be empty:
-- the drivers are selected in turn, and everything is removed again. Of several rounds the best counts.

local options = require("lib.options")
local tell = require("lib.tell")

local usage = [[
usage: nacre --root DIR script run --allow fs=DIR compare-drivers.lua ARCHIVE [OPTIONS]
  --driver NAME[+union]  a driver to be compared (can be repeated); all that can work here where none is named
  --containers N         containers in each round; 5 where it is not said
  --rounds N             rounds; 3 where it is not said
  --json                 as one JSON object
  --html FILE            as a page with charts]]

local wanted = options.read(arg, usage, { driver = "list", containers = "count", rounds = "count", json = "flag", html = "text" })
if not wanted then return 0 end
local archive = wanted[1] or options.fail("no archive is named", usage)
local containers, rounds = wanted.containers or 5, wanted.rounds or 3
if containers == 0 or rounds == 0 then options.fail("there is nothing to be done", usage) end
if #nacre.image.list() > 0 or #nacre.container.list() > 0 then
  error({
    code = "conflict",
    exit_code = 4,
    message = "this root holds images or containers, and the drivers are selected in turn",
    hint = 'name an empty one: nacre --root "$(mktemp -d)" script run …',
  }, 0)
end

-- The directory of the archive is one that may be written to: what is copied into containers is made there.
local here = nacre.fs.temp_dir(archive:match("^(.*)/[^/]*$") or ".")
nacre.fs.mkdir(here .. "/files")
for n = 1, 64 do nacre.fs.write(("%s/files/%d"):format(here, n), ("%d\n"):format(n):rep(512)) end
nacre.fs.write(here .. "/large", ("nacre"):rep(1 << 20))

-- The first large file of the image: a first write to it has it copied up.
local function large_file(image)
  local found
  for node in nacre.union.walk(image) do
    if node.kind == "file" and (not found or node.size > found.size) then found = node end
  end
  return found and found.path
end

local steps = { "load", "create", "mount", "copy in", "copy up", "diff", "commit", "unmount", "remove" }

-- One round: the seconds of each step.
local function round(union)
  local took, list, target = {}, {}, nil
  local function measure(step, work)
    local since = nacre.time.now()
    local value = work()
    took[step] = nacre.time.now() - since
    return value
  end
  local function each(work)
    return function()
      for _, c in ipairs(list) do work(c) end
    end
  end
  local image = measure("load", function() return nacre.image.load(archive)[1].id end)
  target = large_file(image)
  measure("create", function()
    for i = 1, containers do list[i] = nacre.container.create({ image = image, command = { "true" } }) end
  end)
  measure("mount", each(function(c) c:mount({ union = union }) end))
  measure("copy in", each(function(c)
    c:copy_in(here .. "/files", "/nacre-files")
    c:copy_in(here .. "/large", "/nacre-large")
  end))
  measure("copy up", each(function(c)
    if target then c:copy_in(here .. "/files/1", target) end
  end))
  measure("diff", each(function(c)
    for _ in c:diff() do end
  end))
  local made = measure("commit", function() return list[1]:commit() end)
  measure("unmount", each(function(c) c:umount() end))
  measure("remove", function()
    for _, c in ipairs(list) do c:remove() end
    nacre.image.remove(made)
    nacre.image.remove(image, { force = true })
    nacre.image.prune({ all = true })
  end)
  return took
end

-- Whatever a round that failed left.
local function clean()
  for _, c in ipairs(nacre.container.list()) do nacre.container.get(c.id):remove({ force = true }) end
  nacre.image.prune({ all = true })
end

local function run(name)
  local driver, union = name:match("^(.-)(%+union)$")
  driver = driver or name
  nacre.driver.select(driver)
  local best = {}
  for _ = 1, rounds do
    local ok, took = pcall(round, union ~= nil)
    clean()
    if not ok then return nil, took.message or tostring(took) end
    for step, seconds in pairs(took) do best[step] = math.min(best[step] or math.huge, seconds) end
  end
  return best
end

local function all_drivers()
  local names = {}
  for _, candidate in ipairs(nacre.driver.selection().candidates) do
    if candidate.eligible then table.insert(names, candidate.name) end
  end
  return names
end

local results = { containers = containers, rounds = rounds, drivers = {} }
for _, name in ipairs(wanted.driver or all_drivers()) do
  local best, why = run(name)
  local sum = 0
  for _, seconds in pairs(best or {}) do sum = sum + seconds end
  table.insert(results.drivers, { name = name, seconds = best, total = best and sum, failed = why })
end
nacre.driver.select()

if wanted.html then
  nacre.fs.write(wanted.html, require("lib.drivers_page")(results, steps))
  print("wrote " .. wanted.html)
end
if wanted.json then print(nacre.json.encode(results)) end
if wanted.html or wanted.json then return 0 end

local function bar(value, longest, width)
  local eighths = math.floor(value / longest * width * 8 + 0.5)
  local rest = eighths % 8
  return ("█"):rep(eighths // 8) .. (rest > 0 and utf8.char(0x2590 - rest) or "")
end

local rows, longest = {}, 0
for _, driver in ipairs(results.drivers) do longest = math.max(longest, driver.total or 0) end
for _, driver in ipairs(results.drivers) do
  local row = { driver.name }
  for _, step in ipairs(steps) do table.insert(row, driver.seconds and tell.seconds(driver.seconds[step]) or "-") end
  table.insert(row, driver.total and tell.seconds(driver.total) or "-")
  table.insert(rows, row)
end
local heads = { "DRIVER", table.unpack(steps) }
for i, head in ipairs(heads) do heads[i] = head:upper() end
table.insert(heads, "ALL")
tell.rows(heads, rows)
print()
rows = {}
for _, driver in ipairs(results.drivers) do
  table.insert(rows, { driver.name, driver.total and bar(driver.total, longest, 40) or "failed: " .. driver.failed })
end
tell.rows({ "DRIVER", "ALL STEPS" }, rows)
