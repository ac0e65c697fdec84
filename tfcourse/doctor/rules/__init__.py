"""What the doctor knows: each rule looks at a run and yields findings."""
