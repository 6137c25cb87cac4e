function register(lint)
  lint:on({
    stage = "value",
    entity = "value",
    field = "value",
    rule = {
      id = "capacity/limit-too-high",
      title = "a limit is above what the database bears",
      help = "stay at or below 100",
    },
    handler = "check_limit",
  })
end

function check_limit(ctx)
  if ctx.target.variable.id == "limit" and ctx.target.value > 100 then
    return { { message = ctx.target.name .. " is more than 100" } }
  end
end
