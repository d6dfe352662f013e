"""What convolution, pooling and recurrence share: arguments, windows, dtypes."""
