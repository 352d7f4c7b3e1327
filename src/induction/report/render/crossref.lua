-- Numbers for sections, figures, tables and equations, and the references to them.
--
-- Runs before citeproc, to which @fig-loss would be a citation. All numbers are given here, once,
-- so that the page and the PDF agree.

local common = dofile(pandoc.path.join {pandoc.path.directory(PANDOC_SCRIPT_FILE), 'common.lua'})
local floats = dofile(pandoc.path.join {pandoc.path.directory(PANDOC_SCRIPT_FILE), 'floats.lua'})
local html, stop, quoted, raw = common.html, common.stop, common.quoted, common.raw

local names = {fig = 'Figure', tbl = 'Table', eq = 'Equation', sec = 'Section'}
-- Beginnings of identifiers that make Quarto turn a block into a listing, a theorem or the like.
local taken = {}
for kind in ('lst thm lem cor prp cnj def exm exr sol rem alg tip nte wrn imp cau vid dia'):gmatch('%l+') do
  taken[kind] = true
end
local counters = {fig = 0, tbl = 0, eq = 0}
local labels = {}         -- identifier -> its number as text
local identifiers = {}    -- every identifier that a link may point to
local lost = {}           -- those of headings without a number, which Quarto's PDF drops

-- "fig" for "fig-loss"; nil for an identifier that is no label of ours.
local function kind_of(identifier)
  local kind = identifier:match('^(%l+)%-.')
  return kind and names[kind] and kind
end

local function label(identifier, number)
  if labels[identifier] then
    stop('#' .. identifier, 'the label ' .. identifier .. ' is used twice')
  end
  labels[identifier] = number
end

local function next_number(kind)
  counters[kind] = counters[kind] + 1
  return tostring(counters[kind])
end

-- Figures, tables and panels -------------------------------------------------------------------

local walk_blocks        -- the numbering walk, for content that is handled here
local parent             -- number of the panel figure that is being filled; how many it holds
local summarized = false -- whether the sections have begun; before, everything stays in place

local function float(identifier, kind, content, caption, classes)
  local options = {classes = classes, moves = summarized and not parent}
  return floats.float(identifier, kind, content, caption, options)
end

local function numbered_float(identifier, kind, content, caption_blocks, columns, classes)
  if floats.shows_nothing(content) then
    stop('#' .. identifier, identifier .. ' shows nothing in ' .. (html and 'HTML' or 'the PDF') ..
      ': give it content for both, or make it conditional with when-format')
  end
  local number, prefix
  if parent then
    parent.count = parent.count + 1
    local letter = '(' .. string.char(96 + parent.count) .. ')'
    number, prefix = parent.number .. ' ' .. letter, letter
  else
    number = next_number(kind)
    prefix = names[kind] .. ' ' .. number .. ':'
  end
  label(identifier, number)
  local outer = parent
  if not outer then parent = {number = number, count = 0} end
  content = columns and floats.grid(content, columns, walk_blocks) or walk_blocks(content)
  parent = outer
  return float(identifier, kind, content, floats.caption(caption_blocks, prefix), classes)
end

-- Equations: display math followed by {#eq-label} ----------------------------------------------

local function equation(math, identifier)
  local number = next_number('eq')
  label(identifier, number)
  if html then
    return {raw('<span id="' .. identifier .. '" class="equation">'), math,
            raw('<span class="equation-number">(' .. number .. ')</span></span>')}
  end
  local setting = '#set math.equation(numbering: _ => "(' .. number .. ')", alt: '
  local body = pandoc.write(pandoc.Pandoc {pandoc.Plain {math}}, 'typst')
  return {raw('#[' .. setting .. quoted(math.text) .. ')\n' .. body .. ' <' .. identifier .. '>]')}
end

local function inlines_with_equations(inlines)
  local result, index, changed = pandoc.Inlines {}, 1, false
  while index <= #inlines do
    local inline = inlines[index]
    if inline.t == 'Math' and inline.mathtype == 'DisplayMath' then
      local after = index + 1
      while inlines[after] and inlines[after].t:match('^S%l+[BS]?') and inlines[after].t ~= 'Str' do
        after = after + 1
      end
      local identifier = inlines[after] and inlines[after].t == 'Str' and
        inlines[after].text:match('^{#(eq%-[%w_-]+)}$')
      if identifier then
        result:extend(equation(inline, identifier))
        index, changed = after, true
      else
        result:insert(inline)
      end
    else
      result:insert(inline)
    end
    index = index + 1
  end
  if changed then return result end
end

-- The numbering walk, in document order ---------------------------------------------------------

local top_level, numbers, number_sections = 6, {}, false

local function header(element)
  local unnumbered = element.classes:includes('unnumbered');
  (unnumbered and lost or identifiers)[element.identifier] = true
  local depth = element.level - top_level + 1
  if not html then element.level = depth end
  summarized = summarized or not element.classes:includes('unlisted')
  if unnumbered or not number_sections then return element end
  numbers[depth] = (numbers[depth] or 0) + 1
  for level = 1, depth - 1 do numbers[level] = numbers[level] or 0 end
  for level = #numbers, depth + 1, -1 do numbers[level] = nil end
  local number = table.concat(numbers, '.')
  if kind_of(element.identifier) == 'sec' then label(element.identifier, number) end
  local shown = html and pandoc.Span({pandoc.Str(number)}, {class = 'header-section-number'})
    or raw('#box[' .. number .. ']#h(0.6em)')
  element.content:insert(1, shown)
  if html then element.content:insert(2, pandoc.Space()) end
  return element
end

local function div(element)
  local beginning = element.identifier:match('^(%l+)%-')
  if beginning and taken[beginning] then
    stop('#' .. element.identifier, 'an identifier that begins with ' .. beginning ..
      '- makes Quarto take the block for another kind of thing: name it otherwise')
  end
  local kind, columns = kind_of(element.identifier), element.attributes['layout-ncol']
  for _, name in ipairs {'layout', 'layout-nrow'} do
    if element.attributes[name] then stop(name, name .. ' is not supported: use layout-ncol') end
  end
  if kind == 'fig' or kind == 'tbl' then
    local content, caption = floats.split_caption(element.content)
    local widths = element.attributes['tbl-colwidths']
    if widths then content = floats.set_widths(content, widths) end
    if kind == 'tbl' and #caption == 0 then
      content = content:walk {Table = function(tbl)
        caption, tbl.caption = tbl.caption.long, {long = {}}
        return tbl
      end}
    end
    return numbered_float(element.identifier, kind, content, caption, columns, element.classes),
      false
  end
  if columns then return floats.grid(element.content, columns, walk_blocks), false end
  if element.identifier ~= '' then identifiers[element.identifier] = true end
end

local function figure(element)
  if kind_of(element.identifier) == 'fig' then
    local blocks = element.content
    return numbered_float(element.identifier, 'fig', blocks, element.caption.long), false
  end
  local content = walk_blocks(element.content)
  return float(element.identifier, 'fig', content, floats.caption(element.caption.long)), false
end

local function tabular(tbl)
  local caption, identifier = tbl.caption.long, tbl.identifier
  local widths = tbl.attributes['tbl-colwidths']
  if widths then tbl = floats.set_widths(pandoc.Blocks {tbl}, widths)[1] end
  local labelled = kind_of(identifier) == 'tbl'
  if not labelled and #caption == 0 then return tbl end
  tbl.caption, tbl.identifier = {long = {}}, ''
  if labelled then
    return numbered_float(identifier, 'tbl', pandoc.Blocks {tbl}, caption), false
  end
  return float(identifier, 'tbl', walk_blocks {tbl}, floats.caption(caption)), false
end

local numbering = {
  traverse = 'topdown', Header = header, Div = div, Figure = figure, Table = tabular,
  Inlines = inlines_with_equations,
}

function walk_blocks(blocks) return pandoc.Blocks(blocks):walk(numbering) end

-- References ------------------------------------------------------------------------------------

local function reference(citation)
  local kind = kind_of(citation.id)
  local number = labels[citation.id]
  if not number then
    stop('@' .. citation.id, 'unknown reference @' .. citation.id .. ': nothing has that label')
  end
  local text = pandoc.Inlines {}
  if #citation.prefix > 0 then
    text:extend(citation.prefix)
    text:insert(pandoc.Str('\u{a0}'))
  elseif citation.mode ~= 'SuppressAuthor' then
    text:insert(pandoc.Str(names[kind] .. '\u{a0}'))
  end
  text:insert(pandoc.Str((number:gsub(' ', '\u{a0}'))))
  return pandoc.Link(text, '#' .. citation.id, '', {class = 'cross-reference'})
end

local function cite(element)
  local result, ours = pandoc.Inlines {}, 0
  for index, citation in ipairs(element.citations) do
    if kind_of(citation.id) then
      ours = ours + 1
      if index > 1 then result:extend {pandoc.Str(','), pandoc.Space()} end
      result:insert(reference(citation))
      result:extend(citation.suffix)
    end
  end
  if ours == 0 then return nil end
  if ours < #element.citations then
    stop('@' .. element.citations[1].id, 'one pair of brackets mixes references and citations')
  end
  return result
end

local function check_link(link)
  local identifier = link.target:match('^#(.+)')
  if identifier and lost[identifier] then
    stop(link.target, 'the link to ' .. link.target .. ' leads to a heading without a number, ' ..
      'whose identifier Quarto\'s PDF drops: put ::: {#' .. identifier .. '} around the place')
  end
  if identifier and not (labels[identifier] or identifiers[identifier]) then
    stop(link.target, 'the link to ' .. link.target .. ' leads nowhere')
  end
end

local function open_ended(str)
  local identifier = str.text:match('{#(eq%-[^}]*)')
  if identifier then
    stop('{#' .. identifier, 'the label ' .. identifier .. ' does not follow a displayed equation')
  end
end

function Pandoc(doc)
  number_sections = doc.meta['number-sections'] == true
  -- The PDF's properties take plain strings.
  doc.meta['author-names'] = pandoc.List(doc.meta.author or {}):map(function(author)
    return pandoc.Inlines {raw(quoted(pandoc.utils.stringify(author)))}
  end)
  doc:walk {
    Header = function(element)
      if not element.classes:includes('unlisted') then
        top_level = math.min(top_level, element.level)
      end
    end,
    Span = function(element) identifiers[element.identifier] = true end,
  }
  doc.blocks = walk_blocks(doc.blocks)
  return doc:walk {Str = open_ended, Link = check_link}:walk {Cite = cite}
end
