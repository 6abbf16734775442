print("owl2")
