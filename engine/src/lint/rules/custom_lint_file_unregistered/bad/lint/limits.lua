function register(lint)
end

function check_limit(ctx)
  if ctx.target.variable.id == "limit" and ctx.target.value > 100 then
    return { { message = ctx.target.name .. " is more than 100" } }
  end
end
