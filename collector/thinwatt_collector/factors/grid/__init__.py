"""What the sources of factors share: readings by slot, their archive on disk, intensities made of them, restatement."""
