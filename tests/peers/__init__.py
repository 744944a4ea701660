"""The tests that peers ask of their own objects, asked of ours."""
