"""Development tools: the test cloud; nothing here is installed with the agent."""
