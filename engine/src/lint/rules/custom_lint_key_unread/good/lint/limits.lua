function register(lint)
  lint:on({
    stage = "value",
    entity = "value",
    field = "value",
    rule = {
      id = "capacity/limit-too-high",
      title = "a limit is above what the database bears",
      help = "stay at or below 100",
      severity = "warning",
    },
    handler = "check_limit",
  })
end

function check_limit(ctx)
  local limit = ctx.target.selected
  if type(limit) == "number" and limit > 100 then
    return { { message = ctx.target.name .. " is more than 100" } }
  end
end
