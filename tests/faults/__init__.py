"""What must hold when processes and servers die; real processes, real signals."""
