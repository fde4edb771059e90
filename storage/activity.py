"""When an agent's conversation counts as over, where nobody says so."""

IDLE_MINUTES = 15.0  # without traffic; `live.idle_minutes` is the setting
