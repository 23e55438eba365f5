-- nacre.test: tests of scripts. `nacre script test` runs them, each on a storage root of its own that is thrown away.
--
--   local t = require("nacre.test")
--   t.describe("a container", function()
--     t.it("has the image's files", function()
--       t.image("example:1", { ["etc/motd"] = "hello\n" })
--       local c = nacre.container.create({ image = "example:1", name = "box" })
--       t.expect(c.state):to_equal("created")
--       t.expect(function() nacre.container.create({ image = "none" }) end):to_raise("not_found")
--     end)
--   end)
local _, _, host = ...
if not host then error("tests are run by `nacre script test FILE`", 0) end

local t = {}

-- The groups that are open, the outermost first: each has its name and what comes before and after its tests.
local groups = { { before = {}, after = {} } }

local function here() return groups[#groups] end

local function full_name(name)
  local names = {}
  for i = 2, #groups do names[#names + 1] = groups[i].name end
  names[#names + 1] = name
  return table.concat(names, ", ")
end

local function check(what, name, f)
  if type(name) ~= "string" or type(f) ~= "function" then
    error("t." .. what .. " takes a name and a function", 3)
  end
end

-- A group of tests.
function t.describe(name, f)
  check("describe", name, f)
  groups[#groups + 1] = { name = name, before = {}, after = {} }
  local ok, raised = pcall(f)
  if not ok then host.ended(full_name("(the group itself)"), "failed", raised, 0) end
  groups[#groups] = nil
end

-- What is called before each test of the group that follows, and after each, also after one that failed.
function t.before_each(f) table.insert(here().before, f) end
function t.after_each(f) table.insert(here().after, 1, f) end

local SKIPPED = {}

-- Ends a test that cannot be run here.
function t.skip(reason) error(setmetatable({ reason = tostring(reason or "") }, SKIPPED), 0) end

-- A test. It is run at once, on a storage root of its own, which is removed whatever happens.
function t.it(name, f)
  check("it", name, f)
  local began = host.now()
  local verdict, message
  local function try(step)
    local ok, raised = pcall(step)
    if ok or verdict then return end
    if type(raised) == "table" and getmetatable(raised) == SKIPPED then
      verdict, message = "skipped", raised.reason
    else
      verdict, message = "failed", raised
    end
  end
  for i = 1, #groups do
    for _, before in ipairs(groups[i].before) do
      if not verdict then try(before) end
    end
  end
  if not verdict then try(f) end
  for i = #groups, 1, -1 do
    for _, after in ipairs(groups[i].after) do try(after) end
  end
  try(host.clear)
  host.ended(full_name(name), verdict or "passed", message, host.now() - began)
end

-- An image of one layer with these files (a table of contents by path), made on the spot: its ID.
function t.image(name, files) return host.image(name, files or { ["etc/motd"] = "made for a test\n" }) end

local function shown(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) ~= "table" or getmetatable(value) then return tostring(value) end
  return host.pretty(value)
end

local function same(a, b, seen)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  if seen[a] == b then return true end
  seen[a] = b
  for key, value in pairs(a) do
    if not same(value, b[key], seen) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function contains(whole, part)
  if type(whole) == "string" then return whole:find(part, 1, true) ~= nil end
  for _, value in pairs(whole) do
    if same(value, part, {}) then return true end
  end
  return false
end

-- What a value can be expected to do; each gives whether it holds, and what is said where it does not.
local matchers = {
  to_equal = function(value, wanted) return same(value, wanted, {}), "to equal " .. shown(wanted) end,
  to_be = function(value, wanted) return rawequal(value, wanted), "to be " .. shown(wanted) end,
  to_be_nil = function(value) return value == nil, "to be nil" end,
  to_be_truthy = function(value) return not not value, "to be neither false nor nil" end,
  to_be_falsy = function(value) return not value, "to be false or nil" end,
  to_be_a = function(value, kind) return type(value) == kind, "to be a " .. tostring(kind) end,
  to_be_above = function(value, bound) return value > bound, "to be above " .. shown(bound) end,
  to_be_below = function(value, bound) return value < bound, "to be below " .. shown(bound) end,
  to_contain = function(value, part) return contains(value, part), "to contain " .. shown(part) end,
  to_match = function(value, pattern)
    return tostring(value):find(pattern) ~= nil, "to match the pattern " .. shown(pattern)
  end,
  -- Raises an error with that code, or whose message contains that text; without one, any error.
  to_raise = function(value, wanted)
    local ok, raised = pcall(value)
    if ok then return false, "to raise " .. (wanted and shown(wanted) or "an error") end
    local fits = not wanted
      or type(raised) == "table" and raised.code == wanted
      or tostring(raised):find(wanted, 1, true) ~= nil
    return fits, "to raise " .. shown(wanted) .. ", and it raised " .. shown(tostring(raised))
  end,
}

-- Expects something of a value: t.expect(x):to_equal(y), t.expect(x).never:to_equal(y).
function t.expect(value)
  local function object(wanted)
    return setmetatable({}, {
      __index = function(_, name)
        local matcher = matchers[name]
        if not matcher then error("there is no expectation '" .. tostring(name) .. "'", 2) end
        return function(_, ...)
          local holds, what = matcher(value, ...)
          if holds ~= wanted then
            error("expected " .. shown(value) .. (wanted and " " or " never ") .. what, 2)
          end
        end
      end,
    })
  end
  local positive = object(true)
  getmetatable(positive).__index = (function(index)
    return function(self, name)
      if name == "never" then return object(false) end
      return index(self, name)
    end
  end)(getmetatable(positive).__index)
  return positive
end

return t
