"""Every fault, and whatever may die during it: is anything left behind, and how soon is it gone?"""
