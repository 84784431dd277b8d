"""What each subcommand of `beamfleet` does; imported only when it is called."""
