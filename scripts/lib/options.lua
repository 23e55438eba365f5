-- Reads a script's arguments.
--
--   local options = require("lib.options")
--   local wanted = options.read(arg, usage, { keep = "count", ["keep-label"] = "list", yes = "flag" })
--   if not wanted then return 0 end   -- --help was asked for, and told
--
-- `--keep-label` is found in wanted.keep_label; what is no option is in wanted[1], wanted[2], …

local options = {}

-- An argument that cannot be used ends the script with the exit code of a wrong command line.
function options.fail(message, usage)
  error({ code = "usage", exit_code = 2, message = message, hint = usage }, 0)
end

local units = { B = 1, KB = 1e3, MB = 1e6, GB = 1e9, TB = 1e12, KIB = 2 ^ 10, MIB = 2 ^ 20, GIB = 2 ^ 30, TIB = 2 ^ 40 }

-- What a word means as a value of that kind; nil where it means nothing.
local meaning = {
  text = function(word) return word end,
  count = function(word)
    local number = math.tointeger(tonumber(word))
    return number and number >= 0 and number or nil
  end,
  span = function(word)
    local ok, seconds = pcall(nacre.time.seconds, word)
    return ok and seconds or nil
  end,
  bytes = function(word)
    local number, unit = word:match("^([%d.]+)%s*(%a*)$")
    local factor = unit == "" and 1 or units[(unit or ""):upper()] or units[(unit or ""):upper() .. "B"]
    return number and factor and tonumber(number) and math.floor(tonumber(number) * factor) or nil
  end,
}
local called = { text = "a value", count = "a number", span = "a span such as 30d or 12h", bytes = "bytes such as 20GB" }

function options.read(words, usage, known)
  local found, i = {}, 1
  while words[i] do
    local name = words[i]:match("^%-%-(.+)$")
    local kind = known[name]
    local key = name and name:gsub("%-", "_")
    if name == "help" then
      print(usage)
      return nil
    elseif not name then
      table.insert(found, words[i])
    elseif not kind then
      options.fail("unknown option " .. words[i], usage)
    elseif kind == "flag" then
      found[key] = true
    else
      i = i + 1
      local word = words[i] or options.fail("--" .. name .. " needs a value", usage)
      if kind == "list" then
        found[key] = found[key] or {}
        table.insert(found[key], word)
      else
        found[key] = meaning[kind](word) or options.fail(("--%s needs %s, not %s"):format(name, called[kind], word), usage)
      end
    end
    i = i + 1
  end
  return found
end

return options
