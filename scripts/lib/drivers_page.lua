-- What compare-drivers.lua measured, as a page.

local page = require("lib.page")
local tell = require("lib.tell")

-- Steps that are shown as parts of one bar, each in a colour of its own.
local parts = {
  { "load", 1, { "load" } },
  { "create and mount", 2, { "create", "mount" } },
  { "write", 3, { "copy in", "copy up" } },
  { "diff and commit", 4, { "diff", "commit" } },
  { "unmount and remove", 5, { "unmount", "remove" } },
}

local function whole_bars(drivers)
  local rows = {}
  for _, driver in ipairs(drivers) do
    local row = { name = driver.name, value = tell.seconds(driver.total), parts = {}, titles = {} }
    for i, part in ipairs(parts) do
      local sum = 0
      for _, step in ipairs(part[3]) do sum = sum + driver.seconds[step] end
      row.parts[i], row.titles[i] = sum, ("%s: %s"):format(part[1], tell.seconds(sum))
    end
    table.insert(rows, row)
  end
  return page.bars(parts, rows)
end

local function step_bars(drivers, step)
  local rows = {}
  for _, driver in ipairs(drivers) do
    table.insert(rows, { name = driver.name, value = tell.seconds(driver.seconds[step]), parts = { driver.seconds[step] } })
  end
  return page.bars({ { step, 1 } }, rows)
end

return function(results, steps)
  local worked, columns, rows, sections = {}, { { head = "Driver" } }, {}, {}
  for _, step in ipairs(steps) do table.insert(columns, { head = step, number = true }) end
  table.insert(columns, { head = "all", number = true })
  for _, driver in ipairs(results.drivers) do
    local row = { driver.name }
    for _, step in ipairs(steps) do
      local seconds = driver.seconds and driver.seconds[step]
      table.insert(row, { key = seconds or math.huge, text = seconds and tell.seconds(seconds) or "-" })
    end
    table.insert(row, { key = driver.total or math.huge, text = driver.total and tell.seconds(driver.total) or driver.failed })
    table.insert(rows, row)
    if driver.seconds then table.insert(worked, driver) end
  end
  local note = ("%d containers; the best of %d rounds"):format(results.containers, results.rounds)
  table.insert(sections, page.section("All steps", "Shorter is better. Load counts once, the other steps for all containers.", whole_bars(worked)))
  table.insert(sections, page.section("Every step", "Choose a head to sort by it.", page.table(columns, rows)))
  for _, step in ipairs(steps) do table.insert(sections, page.section(step, "Shorter is better.", step_bars(worked, step))) end
  return page.whole("Storage drivers compared", note, sections)
end
