-- What a script finds in place of the parts of Lua's library that run long in C, where no limit on instructions counts, or
-- that call it back from there. Each of these does its work where it is counted, or pays for it before. Nothing in here may be reached by a script but
-- what is put into its globals.

local spend, is_plain, to_string_of, seek, expand = ...

local byte, sub = string.byte, string.sub
local native = {
  concat = table.concat, format = string.format, insert = table.insert, move = table.move, pcall = pcall,
  remove = table.remove, rep = string.rep, setmetatable = setmetatable, sort = table.sort, tostring = tostring,
  unpack = table.unpack,
}
local error, pack, rawget, select, type = error, table.pack, rawget, select, type

-- Whoever changes how strings behave changes how this behaves.
getmetatable("").__metatable = false

-- A finalizer runs where no instruction is counted.
function setmetatable(object, metatable)
  if type(metatable) == "table" and rawget(metatable, "__gc") ~= nil then
    error("a rule has no finalizers (__gc)", 2)
  end
  return native.setmetatable(object, metatable)
end

-- From here on: Lua's own call functions of the script from C, where a script can't be stopped.

local function handled(handler, ok, ...)
  if ok then return ok, ... end
  return ok, handler(...)
end

function xpcall(f, handler, ...)
  return handled(handler, native.pcall(f, ...))
end

local function tostring(value)
  local convert = to_string_of(value)
  if convert == nil then return native.tostring(value) end
  local text = convert(value)
  if type(text) ~= "string" then error("'__tostring' must return a string", 2) end
  return text
end
_G.tostring = tostring

function string.format(pattern, ...)
  local values = pack(...)
  for place = 1, values.n do
    if to_string_of(values[place]) ~= nil then values[place] = tostring(values[place]) end
  end
  return native.format(pattern, native.unpack(values, 1, values.n))
end

local function following(list, place)
  local value = list[place + 1]
  if value ~= nil then return place + 1, value end
end

function ipairs(list)
  return following, list, 0
end

-- Merges ever longer runs that are in order.
local function sort(list, length, before)
  local from, to, run = list, {}, 1
  while run < length do
    for start = 1, length, 2 * run do
      local left, middle = start, start + run
      local right, final = middle, start + 2 * run
      if final > length + 1 then final = length + 1 end
      if middle > length + 1 then middle = length + 1 end
      for place = start, final - 1 do
        if left < middle and (right >= final or not before(from[right], from[left])) then
          to[place], left = from[left], left + 1
        else
          to[place], right = from[right], right + 1
        end
      end
    end
    from, to, run = to, from, 2 * run
  end
  if from ~= list then
    for place = 1, length do list[place] = from[place] end
  end
end

local function is_less(one, other)
  return one < other
end

function table.sort(list, before)
  if type(list) ~= "table" then error("bad argument #1 to 'sort' (table expected)", 2) end
  if not is_plain(list) then error("table.sort takes no table with the metamethods __index, __newindex, or __len", 2) end
  local length, letters, kind = #list, 0, type(list[1])
  for place = 1, length do
    local value = list[place]
    if type(value) ~= kind then kind = nil end
    if type(value) == "string" then letters = letters + #value end
  end
  spend((length + letters // 16) * #native.tostring(length) * 4)
  if before == nil and (kind == "number" or kind == "string") then return native.sort(list) end
  sort(list, length, before or is_less)
end

-- From here on: Lua's own run long in C.

-- With metamethods a table is as long as it says, and gives whatever it likes.
local function plain(list, name)
  if type(list) == "table" and not is_plain(list) then
    error("table." .. name .. " takes no table with the metamethods __index, __newindex, or __len", 3)
  end
end

function table.insert(list, ...)
  plain(list, "insert")
  if type(list) == "table" and select("#", ...) > 1 then spend(#list) end
  return native.insert(list, ...)
end

function table.remove(list, ...)
  plain(list, "remove")
  if type(list) == "table" and select("#", ...) > 0 then spend(#list) end
  return native.remove(list, ...)
end

function table.concat(list, ...)
  plain(list, "concat")
  if type(list) == "table" then spend(#list) end
  return native.concat(list, ...)
end

function table.unpack(list, ...)
  plain(list, "unpack")
  if type(list) == "table" then spend(#list) end
  return native.unpack(list, ...)
end

function table.move(from, first, last, at, to)
  plain(from, "move")
  plain(to, "move")
  if math.type(first) == "integer" and math.type(last) == "integer" and last >= first then
    -- Beyond the integers the difference is negative.
    spend(last - first >= 0 and last - first or math.maxinteger)
  end
  if to == nil then return native.move(from, first, last, at) end
  return native.move(from, first, last, at, to)
end

function string.rep(text, times, separator)
  if type(times) == "number" and (type(text) == "string" or type(text) == "number") then
    local length = #tostring(text) + (separator ~= nil and #tostring(separator) or 0)
    if length == 0 then return "" end
    if times + 0.0 > 0x7fffffff / length then error("not enough memory", 0) end
  end
  return native.rep(text, times, separator)
end

function string.find(text, pattern, from, literally)
  return seek("find", text, pattern, from, nil, literally and true or false)
end

function string.match(text, pattern, from)
  return seek("match", text, pattern, from, nil, false)
end

local function captured(_, _, ...)
  return ...
end

function string.gmatch(text, pattern, from)
  local last
  from = from or 1
  return function()
    local found = pack(seek("each", text, pattern, from, last, false))
    if found[1] == nil then
      from = math.maxinteger
      return nil
    end
    from, last = found[2] + 1, found[2] + 1
    return captured(native.unpack(found, 1, found.n))
  end
end

function string.gsub(text, pattern, replacement, most)
  text = type(text) == "number" and tostring(text) or text
  if type(text) ~= "string" then
    error("bad argument #1 to 'gsub' (string expected, got " .. type(text) .. ")", 2)
  end
  local kind = type(replacement)
  if kind ~= "string" and kind ~= "number" and kind ~= "table" and kind ~= "function" then
    error("bad argument #3 to 'gsub' (string/function/table expected, got " .. kind .. ")", 2)
  end
  local anchored = byte(pattern) == 94
  local pieces, count, from, last = {}, 0, 1, nil
  while most == nil or count < most do
    local found = pack(seek("replace", text, pattern, from, last, false))
    local first, final = found[1], found[2]
    if first == nil then break end
    count = count + 1
    local whole, new = sub(text, first, final), nil
    if kind == "function" then
      new = replacement(captured(native.unpack(found, 1, found.n)))
    elseif kind == "table" then
      new = replacement[found[3]]
    else
      new = expand(tostring(replacement), whole, captured(native.unpack(found, 1, found.n)))
    end
    if not new then
      new = whole
    elseif type(new) ~= "string" and type(new) ~= "number" then
      error("invalid replacement value (a " .. type(new) .. ")", 2)
    end
    pieces[#pieces + 1] = sub(text, from, first - 1)
    pieces[#pieces + 1] = new
    from, last = final + 1, final + 1
    if anchored then break end
  end
  pieces[#pieces + 1] = sub(text, from)
  return native.concat(pieces), count
end

-- There is nobody to read it.
function print() end
function warn() end

for _, name in ipairs { "collectgarbage", "coroutine", "debug", "dofile", "io", "load", "loadfile", "os", "package", "require" } do
  _G[name] = nil
end
string.dump = nil

local function result(ok, ...)
  if ok then return ... end
  local fault = ...
  if type(fault) == "table" then
    local said, text = native.pcall(tostring, fault)
    fault = said and text or "an error that can't be shown"
  end
  error(fault, 0)
end

-- How a function of the script is called: what it throws is text in the end, so that nobody else has to ask it.
return function(f, ...)
  return result(native.pcall(f, ...))
end
