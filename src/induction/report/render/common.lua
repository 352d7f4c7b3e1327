-- What the three filters share. Each loads it with `dofile`, as pandoc runs them one by one.

local common = {}

common.html = FORMAT:match('html') ~= nil
common.target = common.html and 'html' or 'typst'

-- Ends pandoc with one line on standard error: "report: token<TAB>what is wrong", where the token
-- is what to look for in the source.
function common.stop(token, message)
  io.stderr:write('report: ' .. token .. '\t' .. message .. '\n')
  os.exit(1)
end

function common.raw(text) return pandoc.RawInline(common.target, text) end
function common.raw_block(text) return pandoc.RawBlock(common.target, text) end

-- A string of the Typst language.
function common.quoted(text)
  return '"' .. text:gsub('\\', '\\\\'):gsub('"', '\\"'):gsub('%s+', ' ') .. '"'
end

-- Inlines between two pieces of markup, in one paragraph.
function common.with_ends(before, inlines, after)
  local result = pandoc.Inlines {common.raw(before)}
  result:extend(inlines)
  result:insert(common.raw(after))
  return pandoc.Plain(result)
end

return common
