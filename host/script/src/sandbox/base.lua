-- What a script finds in place of the functions of Lua's library that could get around its limits.
local host = ...
local error, load, rawget, rawset, select, tostring, type = error, load, rawget, rawset, select, tostring, type
local pcall, xpcall, setmetatable, collectgarbage = pcall, xpcall, setmetatable, collectgarbage
local create, wrap, resume, close = coroutine.create, coroutine.wrap, coroutine.resume, coroutine.close
local concat, pack = table.concat, table.pack
local told, passed, charge, write, locate = host.told, host.passed, host.charge, host.write, host.locate

-- The outcome of a protected call. What ends a script cannot be swallowed.
local function judged(ok, ...)
  if ok then return true, ... end
  local limit = passed()
  if limit then error(limit, 0) end
  local raised = ...
  if type(raised) == "userdata" then raised = told(raised) end
  return false, raised
end

function _G.pcall(...) return judged(pcall(...)) end

function _G.xpcall(f, handler, ...)
  local function handle(raised)
    -- After an error of the hook a handler would run without the hook.
    if passed() then return raised end
    if type(raised) == "userdata" then raised = told(raised) end
    return handler(raised)
  end
  return judged(xpcall(f, handle, ...))
end

function coroutine.resume(...) return judged(resume(...)) end
function coroutine.close(...) return judged(close(...)) end

-- A coroutine counts its instructions by itself, and could end before it is counted.
local function charged(make)
  return function(f)
    local limit = charge()
    if limit then error(limit, 0) end
    return make(f)
  end
end
coroutine.create, coroutine.wrap = charged(create), charged(wrap)

-- `load` calls functions that give the text, and keeps their errors back as a protected call does.
local function compiled(f, ...)
  if f then return f end
  return nil, select(2, judged(false, ...))
end

-- Text only: bytecode is not verified.
function _G.load(chunk, name, mode, ...)
  if mode ~= nil and mode ~= "t" and mode ~= "bt" then return nil, "only text can be loaded" end
  if select("#", ...) > 0 then return compiled(load(chunk, name, "t", (...))) end
  return compiled(load(chunk, name, "t"))
end

-- A finalizer runs without the hook: nothing could end it.
function _G.setmetatable(t, metatable)
  if type(metatable) == "table" and rawget(metatable, "__gc") ~= nil then
    error("a metatable in a script has no __gc; use __close and a variable that is <close>", 2)
  end
  return setmetatable(t, metatable)
end

function _G.collectgarbage(what, ...)
  if what == nil or what == "collect" then return collectgarbage("collect") end
  if what == "count" then return collectgarbage("count") end
  error("collectgarbage takes 'collect' or 'count' in a script", 2)
end

function _G.print(...)
  local parts = pack(...)
  for i = 1, parts.n do
    local text = tostring(parts[i])
    parts[i] = text
  end
  local failed = write(concat(parts, "\t", 1, parts.n) .. "\n")
  if failed then error(failed, 0) end
end

local loaded, loading = {}, {}
function _G.require(name)
  local known = loaded[name]
  if known ~= nil then return known end
  local text, chunk, natives = locate(name)
  if not text then error(chunk, 0) end
  if loading[name] then error("the module '" .. name .. "' requires itself", 2) end
  local f, wrong = load(text, chunk, "t")
  if not f then error(wrong, 0) end
  loading[name] = true
  local value = f(name, chunk, natives)
  loading[name] = nil
  if value == nil then value = true end
  loaded[name] = value
  return value
end

for _, name in ipairs({ "dofile", "loadfile", "warn" }) do rawset(_G, name, nil) end
string.dump = nil

-- The protected call of the whole script.
return xpcall
