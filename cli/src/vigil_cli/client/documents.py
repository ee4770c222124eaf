"""The operations that the command line sends."""

SIGHTINGS = """
subscription Sightings($after: String, $filter: SightingFilter) {
  sightings(after: $after, filter: $filter) {
    cursor seq revision superseded
    sighting { id revision state openedAt lastSeenAt closedAt closeReason frames still camera { namespace name } }
    identity { status reason similarity threshold subject { namespace name displayName } }
  }
}
"""

CAMERAS = """
subscription Cameras {
  cameras(heartbeats: true) {
    camera { namespace name }
    heartbeat {
      state reason message since lastFrameAt nextAttemptAt stale width height codec
      capturedFps analysedFps fitness fitnessMessage outboxPending
      counters { framesCaptured framesAnalysed sightingsOpened eventsPublished }
    }
  }
}
"""

STATUS = """
query Status {
  status { version database bus newestSeq subscribers }
  site { name cursor cameras subjects }
  cameras(first: 200) {
    nodes {
      namespace name sourceType suspended
      heartbeat { state reason message stale capturedFps analysedFps latencyP95Ms fitness fitnessMessage
        counters { framesLeftOut } }
      conditions { type status reason message }
    }
  }
  subjects(first: 200) { nodes { namespace name displayName enrolled active photos { name accepted reason message } } }
  sightings(first: 10) {
    nodes {
      id state openedAt lastSeenAt still camera { namespace name }
      identity { status reason similarity subject { displayName } }
    }
  }
}
"""

CURSOR = "query Cursor { site { cursor } }"

EXAMPLE = "subscription { sightings { sighting { camera { name } } identity { status subject { displayName } } } }"
