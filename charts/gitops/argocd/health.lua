-- Health of Vigil's Camera, Subject and Site for Argo CD (resource.customizations.health.vigil.dev_<Kind>).
-- Healthy: works as declared. Progressing: wait. Degraded: act as the message says.
-- Suspended: spec.suspend is true.

local function condition(conditions, kind)
  for _, each in ipairs(conditions) do
    if type(each) == "table" and each.type == kind then
      return each
    end
  end
  return {}
end

local function words(of)
  local reason, message = of.reason or "", of.message or ""
  if reason ~= "" and message ~= "" then
    return reason .. ": " .. message
  end
  return reason .. message
end

-- Transient reasons of the kinds without a condition Reconciling.
local passing = { Enrolling = true, Connecting = true, Erasing = true, NotYetValid = true }

local metadata, status = obj.metadata or {}, obj.status or {}
local conditions = type(status.conditions) == "table" and status.conditions or {}
local ready = condition(conditions, "Ready")

if metadata.deletionTimestamp ~= nil then
  -- A Subject stays until the person is erased.
  return { status = "Progressing", message = words(ready) ~= "" and words(ready) or "being deleted" }
end

local function behind(seen)
  return seen ~= nil and metadata.generation ~= nil and seen < metadata.generation
end

if ready.status == nil then
  return { status = "Progressing", message = "not looked at by the operator yet" }
end
if behind(status.observedGeneration) or behind(ready.observedGeneration) then
  return { status = "Progressing", message = "the operator has not seen this generation yet" }
end
if ready.reason == "Suspended" then
  return { status = "Suspended", message = words(ready) }
end
local stalled = condition(conditions, "Stalled")
if stalled.status == "True" then
  return { status = "Degraded", message = words(stalled) }
end
if condition(conditions, "Reconciling").status == "True" then
  return { status = "Progressing", message = words(ready) }
end
if ready.status == "True" then
  return { status = "Healthy", message = words(ready) }
end
if ready.status == "Unknown" or passing[ready.reason] then
  return { status = "Progressing", message = words(ready) }
end
return { status = "Degraded", message = words(ready) }
