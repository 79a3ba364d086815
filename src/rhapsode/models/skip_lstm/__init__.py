"""The LSTM whose head sees its inputs."""
